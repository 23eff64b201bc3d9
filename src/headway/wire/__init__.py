"""The thin HTTP/1.1 client of the jobs and gateway doors."""
