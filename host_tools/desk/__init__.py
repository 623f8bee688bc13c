"""The page of an inbox: boards, alerts and answers in a browser, and the same for programs."""
