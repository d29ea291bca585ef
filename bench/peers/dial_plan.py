"""The numbers that voipat and Asterisk both have under load."""

PLAY = "7001"  # answers, and plays a prompt again and again
IVR = "7002"  # answers, asks, hangs up at the first key
ROOM = "7003"  # one conference
PROMPT_SECONDS = 60
QUESTION_SECONDS = 3
