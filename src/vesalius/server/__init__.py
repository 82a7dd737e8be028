"""What runs for long and is spoken to over the network: the DICOM node, DICOMweb and the rules for what arrives."""
