"""How well the time of day is known, the worst first. Boards have the numbers: names cost them memory."""

NONE = 0
LEARNED = 1  # from the Date of a response to a request of ours
RTC = 2
HOST = 3  # who has deployed the program
NTP = 4
