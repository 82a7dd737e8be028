"""Registration: bring an image onto another's anatomy, rigidly, affinely or by a smooth deformation."""
