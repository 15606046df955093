"""The sensors, one file each, and beside them the pure decisions they act on."""
