"""Speed, as ratios against a baseline of the same run: the goals one by one, and the ladder of trust."""
