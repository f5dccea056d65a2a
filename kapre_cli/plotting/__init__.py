"""Features as pictures: what is shown, its axes, and the sheet. The only door to matplotlib."""
