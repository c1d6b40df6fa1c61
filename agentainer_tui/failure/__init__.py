"""What is known of a failure: where, why, since when, and what to do. Knows no Textual."""
