"""What VoCo is called, and what to cite for it."""

from nnunetv2_pcrl.methods.method import About

ABOUT = About(
    name="VoCo",
    section="voco",
    title="tells where a crop lies in its volume from its overlap with a grid of crops",
    citations=(
        {
            "type": "Methodology",
            "name": "VoCo",
            "apa_citations": [
                "Wu, L., Zhuang, J., & Chen, H. (2024). VoCo: A Simple-yet-Effective Volume "
                "Contrastive Learning Framework for 3D Medical Image Analysis. CVPR.",
                "Wu, L., Zhuang, J., & Chen, H. (2025). Large-Scale 3D Medical Image Pre-training "
                "with Geometric Context Priors. IEEE Transactions on Pattern Analysis and Machine "
                "Intelligence. https://arxiv.org/abs/2410.09890",
            ],
        },
    ),
)
