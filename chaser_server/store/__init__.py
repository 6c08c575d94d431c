"""State that outlives the process: SQLite. All SQL of the project is in this folder."""
