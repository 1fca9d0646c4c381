"""What PCRLv1 is called, and what to cite for it."""

from nnunetv2_pcrl.methods.method import About

ABOUT = About(
    name="PCRLv1",
    section="pcrlv1",
    title="contrast with a queue, and restoration from mixed features under a transform code",
    citations=(
        {
            "type": "Methodology",
            "name": "PCRLv1",
            "apa_citations": [
                "Zhou, H.-Y., Lu, C., Yang, S., Han, X., & Yu, Y. (2021). Preservational Learning "
                "Improves Self-supervised Medical Image Models by Reconstructing Diverse Contexts. "
                "ICCV, 3499-3509."
            ],
        },
    ),
)
