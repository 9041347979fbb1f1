"""The controller: makes the world like the database says, and tells the database what it sees."""
