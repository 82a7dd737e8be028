"""The parts of time_to_dice.py: the split, the clock, nnU-Net's side, and the tables and pictures."""
