"""What an auditor asks of a hub's log: an index made from the topics, and questions with typed answers.

The index is a convenience, never evidence: whatever is answered with a proof is proved from leaves to a
checkpoint that the log's key signed.  What is asked is written into the log before it is answered.
"""
