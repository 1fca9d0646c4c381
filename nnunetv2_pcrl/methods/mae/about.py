"""What MAE is called, and what to cite for it."""

from nnunetv2_pcrl.methods.method import About

ABOUT = About(
    name="MAE",
    section="mae",
    title="restores hidden blocks of a patch",
    citations=(
        {
            "type": "Methodology",
            "name": "MAE",
            "apa_citations": [
                "He, K., Chen, X., Xie, S., Li, Y., Dollar, P., & Girshick, R. (2022). Masked "
                "Autoencoders Are Scalable Vision Learners. CVPR, 16000-16009.",
                "Wald, T., Ulrich, C., Lukyanenko, S., Goncharov, A., Paderno, A., Miller, M., "
                "... & Maier-Hein, K. (2025). Revisiting MAE Pre-training for 3D Medical Image "
                "Segmentation. CVPR.",
            ],
        },
    ),
)
