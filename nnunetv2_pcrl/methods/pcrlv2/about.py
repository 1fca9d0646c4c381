"""What PCRLv2 is called, and what to cite for it."""

from nnunetv2_pcrl.methods.method import About

ABOUT = About(
    name="PCRLv2",
    section="pcrlv2",
    title="restoration and comparison at all scales of a U-Net without skip connections",
    citations=(
        {
            "type": "Methodology",
            "name": "PCRLv2",
            "apa_citations": [
                "Zhou, H.-Y., Lu, C., Chen, C., Yang, S., & Yu, Y. (2023). A Unified Visual "
                "Information Preservation Framework for Self-supervised Pre-training in Medical "
                "Image Analysis. IEEE Transactions on Pattern Analysis and Machine Intelligence. "
                "https://doi.org/10.1109/TPAMI.2023.3234002"
            ],
        },
    ),
)
