"""What `doctor` and the overview say of the machine's disks, and of the settings as a whole."""
