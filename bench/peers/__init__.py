"""Other servers beside voipat, in the same run: each is one class with the same verbs.

`make bench-peers` unpacks them; `make bench SCENARIO=relay PEER=rtpengine` runs one pair.
"""
