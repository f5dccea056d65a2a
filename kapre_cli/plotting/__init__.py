"""Features as pictures: what is shown, its axes, and the sheet. The only door to matplotlib."""

import logging

# What it says of its fonts and its cache, as it is imported, is nothing to who wants a picture.
logging.getLogger("matplotlib").setLevel(logging.ERROR)
