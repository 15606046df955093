"""What watches the flow: the law of conservation, the inventories, drift, and what is told to whom."""
