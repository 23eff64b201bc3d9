"""Charts in the terminal and pages to keep: what they show is `figure`, where they are drawn is `terminal` and `page`."""
