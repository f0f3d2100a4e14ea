"""What an attacker still learns from a release, what it keeps, and what no attacker can exceed."""
