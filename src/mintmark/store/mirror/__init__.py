"""The read database as its mirrors use it.

progress   how far each log is verified
commit     the one transaction that writes a verified batch
lease      who works on which log, and who lives
withheld   items that did not come, and that others have
settle     what a long catch-up leaves behind
evidence   contradictions, and what a human decided about them
status     one line for each log
"""
