"""What the member says: drafts are composed, numbered, signed, sent, and proved to be in the log."""
