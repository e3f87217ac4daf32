"""What is found about a running server by what it says; `doctor` and the overview tell it."""
