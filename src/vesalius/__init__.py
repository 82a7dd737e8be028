"""Medical image segmentation."""
