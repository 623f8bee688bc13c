"""A user agent server for people and programs: it stores, shows, passes on and answers."""
