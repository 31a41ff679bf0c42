"""What a reader opens: the page of a report, the index of all reports, and the words and markup both are made of."""
