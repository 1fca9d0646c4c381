"""What RepRec-style pretraining is called, and what to cite for it."""

from nnunetv2_pcrl.methods.method import About

ABOUT = About(
    name="RepRec",
    section="reprec",
    title="RepRec-style: tells images apart, then recovers masked representations of itself",
    citations=(
        {
            "type": "Methodology",
            "name": "RepRec (this is RepRec-style: only the abstract is public)",
            "apa_citations": [
                "Yan, X., Naushad, J., Sun, S., Han, K., Tang, H., Kong, D., Ma, H., You, C., & "
                "Xie, X. (2023). Representation Recovering for Self-Supervised Pre-training on "
                "Medical Images. WACV, 2685-2695."
            ],
        },
        {
            "type": "Methodology",
            "name": "Targets of a teacher",
            "apa_citations": [
                "Baevski, A., Hsu, W.-N., Xu, Q., Babu, A., Gu, J., & Auli, M. (2022). data2vec: "
                "A General Framework for Self-supervised Learning in Speech, Vision and Language. "
                "ICML, 1298-1312."
            ],
        },
    ),
)
