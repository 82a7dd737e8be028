"""The DICOM network: what listens, and what asks others."""
