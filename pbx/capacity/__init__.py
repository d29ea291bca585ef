"""`voipat capacity`: measures what calls cost on this machine; answers how many it carries, what an office needs.

rig       a scratch daemon of the shipped configuration, and what it has used
measure   loads it and makes costs of what was used → costs
model     load → share of a core, by those costs
planner   users and their habits → cores, memory, ports, disk, bandwidth, channels, agents; and back
report, html   the answer, for people
"""
