"""Which DICOM objects are no images: by the modality they say, or by their class."""

# Words for objects that are no images, by modality; others of these are found by their class.
NO_IMAGES = {
    "SEG": "a segmentation",
    "RTDOSE": "a dose",
    "RTSTRUCT": "a set of contours",
    "RTPLAN": "a treatment plan",
    "RTRECORD": "a treatment record",
    "PR": "a presentation state",
    "SR": "a report",
    "KO": "a selection of images",
    "REG": "a registration",
    "DOC": "a document",
    "FID": "a set of fiducials",
    "RWV": "a table of values",
    "PLAN": "a plan",
    "ECG": "a waveform",
    "HD": "a waveform",
    "AU": "a recording",
    "SMR": "a relationship of images",
    "M3D": "a model",
}
_CLASSES = {
    "1.2.840.10008.5.1.4.1.1.66.4": "SEG",
    "1.2.840.10008.5.1.4.1.1.66.5": "SEG",
    "1.2.840.10008.5.1.4.1.1.66.7": "SEG",
    "1.2.840.10008.5.1.4.1.1.66.1": "REG",
    "1.2.840.10008.5.1.4.1.1.66.3": "REG",
    "1.2.840.10008.5.1.4.1.1.66.2": "FID",
    "1.2.840.10008.5.1.4.1.1.481.2": "RTDOSE",
    "1.2.840.10008.5.1.4.1.1.481.3": "RTSTRUCT",
    "1.2.840.10008.5.1.4.1.1.481.5": "RTPLAN",
    "1.2.840.10008.5.1.4.1.1.481.8": "RTPLAN",
    "1.2.840.10008.5.1.4.1.1.88.59": "KO",
    "1.2.840.10008.5.1.4.1.1.104.1": "DOC",
}
_CLASS_FAMILIES = {
    "1.2.840.10008.5.1.4.1.1.11.": "PR",
    "1.2.840.10008.5.1.4.1.1.88.": "SR",
    "1.2.840.10008.5.1.4.1.1.9.": "ECG",
}


def modality_of(said: str, sop_class: str) -> str:
    """The modality that a file says, unless its class says that it is something else.

    Args:
        said: in the file, e.g. CT.
        sop_class: UID of the object's class.
    """
    by_class = _CLASSES.get(sop_class) or next(
        (m for prefix, m in _CLASS_FAMILIES.items() if sop_class.startswith(prefix)), None
    )
    return by_class or said
