"""The series on ClickHouse: chDB in this process, or servers."""
