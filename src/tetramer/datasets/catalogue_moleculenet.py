"""The sets of MoleculeNet: labels of molecules."""

from tetramer.datasets.entries import EVERY, Mirror, Part, Source, github, page

DEEPCHEM = "https://deepchemdata.s3-us-west-1.amazonaws.com/datasets/"
NO_LICENCE = "MoleculeNet redistribution, no explicit licence on the data"
MOLECULENET = "Wu et al. 2018, MoleculeNet, doi:10.1039/C7SC02664A"

TOX21 = (
    "NR-AR",
    "NR-AR-LBD",
    "NR-AhR",
    "NR-Aromatase",
    "NR-ER",
    "NR-ER-LBD",
    "NR-PPAR-gamma",
    "SR-ARE",
    "SR-ATAD5",
    "SR-HSE",
    "SR-MMP",
    "SR-p53",
)
SIDER = (
    "Hepatobiliary disorders",
    "Metabolism and nutrition disorders",
    "Product issues",
    "Eye disorders",
    "Investigations",
    "Musculoskeletal and connective tissue disorders",
    "Gastrointestinal disorders",
    "Social circumstances",
    "Immune system disorders",
    "Reproductive system and breast disorders",
    "Neoplasms benign, malignant and unspecified (incl cysts and polyps)",
    "General disorders and administration site conditions",
    "Endocrine disorders",
    "Surgical and medical procedures",
    "Vascular disorders",
    "Blood and lymphatic system disorders",
    "Skin and subcutaneous tissue disorders",
    "Congenital, familial and genetic disorders",
    "Infections and infestations",
    "Respiratory, thoracic and mediastinal disorders",
    "Psychiatric disorders",
    "Renal and urinary disorders",
    "Pregnancy, puerperium and perinatal conditions",
    "Ear and labyrinth disorders",
    "Cardiac disorders",
    "Nervous system disorders",
    "Injury, poisoning and procedural complications",
)


MUV = (466, 548, 600, 644, 652, 689, 692, 712, 713, 733, 737, 810, 832, 846, 852, 858, 859)
QM8 = ("CC2", "PBE0", "CAM")
QM8_UNITS = {"E1": "hartree", "E2": "hartree", "f1": "dimensionless", "f2": "dimensionless"}
QM9_UNITS = (
    dict.fromkeys(("A", "B", "C"), "GHz")
    | {"mu": "D", "alpha": "bohr³", "homo": "hartree", "lumo": "hartree", "gap": "hartree", "r2": "bohr²"}
    | dict.fromkeys(("zpve", "u0", "u298", "h298", "g298"), "hartree")
    | {"cv": "cal/mol/K"}
    | dict.fromkeys(("u0_atom", "u298_atom", "h298_atom", "g298_atom"), "kcal/mol")
)


def _moleculenet(name: str, md5: str, size: int, sha256: str) -> tuple[Part, ...]:
    """A file whose mirror has the public bytes."""
    return (Part(DEEPCHEM + name, f"md5:{md5}", size, f"moleculenet/{name}", sha256),)


MOLECULENET_SETS: dict[str, Source] = {
    "esol": Source(
        _moleculenet(
            "delaney-processed.csv",
            "0c90a51668d446b9e3ab77e67662bd1c",
            96_699,
            "8c06a76f0c6487d29ab0f903e6a7a7139f189ab3c1178f159c8be8964602f189",
        ),
        smiles="smiles",
        targets={"measured log solubility in mols per litre": "log10 mol/L"},
        metric="rmse",
        licence=NO_LICENCE,
        cite=f"Delaney 2004, doi:10.1021/ci034243x; {MOLECULENET}",
        rows=1_128,
        note="11 repeated molecules, 6 of them with different values; `ESOL predicted …` holds predictions.",
    ),
    "freesolv": Source(
        (
            Part(
                DEEPCHEM + "SAMPL.csv",
                "sha256:ab5895d914ee87cb563bd7b9611e869527bba45bec6b014d34dc495a0f9dcb72",
                32_060,
                "moleculenet/SAMPL.csv",
                "ab5895d914ee87cb563bd7b9611e869527bba45bec6b014d34dc495a0f9dcb72",
                verified=False,
            ),
        ),
        smiles="smiles",
        targets={"expt": "kcal/mol"},
        metric="rmse",
        licence="CC BY 4.0 or CC BY-NC-SA, by version",
        cite=f"Mobley & Guthrie 2014, doi:10.1007/s10822-014-9747-x; {MOLECULENET}",
        rows=642,
        note="`calc` is computed, not measured. The hash is that of two independent copies.",
    ),
    "lipophilicity": Source(
        _moleculenet(
            "Lipophilicity.csv",
            "85a0e1cb8b38b0dfc3f96ff47a57f0ab",
            282_606,
            "aed41590cb30609d51d8e08ad3ff06495a76e80e211358801f596b10da69bacd",
        ),
        smiles="smiles",
        targets={"exp": "logD at pH 7.4"},
        metric="rmse",
        licence="CC BY-SA 3.0 (ChEMBL)",
        cite=f"AstraZeneca 2016, doi:10.6019/CHEMBL3301361; {MOLECULENET}",
        rows=4_200,
    ),
    "bbbp": Source(
        _moleculenet(
            "BBBP.csv",
            "66286cb9e6b148bd75d80c870df580fb",
            148_743,
            "d07a38487aeac5cee5508413e468043ef3097451d2a112701c2d60be9ec6b662",
        ),
        smiles="smiles",
        targets={"p_np": "1: crosses the blood-brain barrier"},
        metric="roc-auc",
        licence=NO_LICENCE,
        cite=f"Martins et al. 2012, doi:10.1021/ci300124c; {MOLECULENET}",
        rows=2_050,
        note="11 SMILES cannot be parsed; 64 repeated rows; 10 molecules carry both labels.",
        style="a bag of characters reaches a ROC-AUC of 0.852 on the SMILES as given, 0.773 on canonical ones",
    ),
    "bace": Source(
        _moleculenet(
            "bace.csv",
            "ba7f8fa3fdf463a811fa7edea8c982c2",
            3_897_767,
            "f3fb9ce90bada3e2bd6148b0df13f8f8145a357bf87df0dd5b391ede974fc737",
        ),
        smiles="mol",
        targets={"Class": "1: inhibits BACE-1"},
        metric="roc-auc",
        licence=NO_LICENCE,
        cite=f"Subramanian et al. 2016, doi:10.1021/acs.jcim.6b00290; {MOLECULENET}",
        rows=1_513,
        note="`pIC50` is the regression target; `Model` a split of the authors; the other columns are descriptors.",
    ),
    "tox21": Source(
        _moleculenet(
            "tox21.csv.gz",
            "2882d69e70bba0fec14995f26787cc25",
            122_925,
            "45d09792492ce049039dd24aa27b07fc79ce20c573187d4d90bcd178c0c0d360",
        ),
        smiles="smiles",
        targets=dict.fromkeys(TOX21, "1: active"),
        metric="roc-auc",
        licence="public domain (US EPA, NIH)",
        cite=f"Tox21 Challenge 2014; {MOLECULENET}",
        rows=7_831,
        note="17 % of the labels are missing; 8 SMILES cannot be parsed.",
    ),
    "clintox": Source(
        _moleculenet(
            "clintox.csv.gz",
            "db4f2df08be8ae92814e9d6a2d015284",
            19_870,
            "7324a84a180ad9068d3847677c85d58e8432e82b3ae6ac95cf0e98b3a58d9697",
        ),
        smiles="smiles",
        targets={"FDA_APPROVED": "1: approved", "CT_TOX": "1: failed for toxicity"},
        metric="roc-auc",
        licence=NO_LICENCE,
        cite=f"Gayvert et al. 2016, doi:10.1016/j.chembiol.2016.07.023; {MOLECULENET}",
        rows=1_484,
        note="The style of the SMILES betrays the label; 19 repeated molecules, all with conflicting labels.",
        style="a bag of characters reaches a ROC-AUC of 0.946 on the SMILES as given, 0.765 on canonical ones",
        apart=True,
    ),
    "hiv": Source(
        _moleculenet(
            "HIV.csv",
            "9ad10c88f82f1dac7eb5c52b668c30a7",
            2_193_844,
            "9ffa7fe57dc86c342627ee1d5255e937e2ab812393c73c4d16c697022f6e1d22",
        ),
        smiles="smiles",
        targets={"HIV_active": "1: active"},
        metric="roc-auc",
        licence="public domain (NCI DTP)",
        cite=f"NCI DTP AIDS antiviral screen, 2004; {MOLECULENET}",
        rows=41_127,
        note="7 SMILES cannot be parsed; 3.5 % of the rows are active.",
    ),
    "sider": Source(
        _moleculenet(
            "sider.csv.gz",
            "77c0ef421f7cc8ce963c5836c8761fd2",
            34_759,
            "4cc7ccb20dded475853c583596e227116c222c6ca7dbb40159bdbe9ee3f099b9",
        ),
        smiles="smiles",
        targets=dict.fromkeys(SIDER, "1: reported"),
        metric="roc-auc",
        licence="CC BY-NC-SA 4.0",
        cite=f"Kuhn et al. 2016, doi:10.1093/nar/gkv1075; {MOLECULENET}",
        rows=1_427,
    ),
    "toxcast": Source(
        _moleculenet(
            "toxcast_data.csv.gz",
            "92911bbf9c1e2ad85231014859388cd6",
            404_948,
            "02c8b96da666884a13746e4891fc10b4f81f51fa14e0060df1db7da0223b46c6",
        ),
        smiles="smiles",
        targets={EVERY: "1: active"},
        metric="roc-auc",
        licence="public domain (US EPA)",
        cite=f"Richard et al. 2016, doi:10.1021/acs.chemrestox.6b00135; {MOLECULENET}",
        rows=8_597,
        note="617 assays; 71 % of the labels are missing; 18 SMILES cannot be parsed; some parts lack a class.",
    ),
    "muv": Source(
        _moleculenet(
            "muv.csv.gz",
            "9c40bd41310991efd40f4d4868fa3ddf",
            2_000_000,
            "93c8b4a37c5996c76e57d5f3f065fb8b7cf1c19067011eff2293fd2a94ce274a",
        ),
        smiles="smiles",
        targets=dict.fromkeys((f"MUV-{number}" for number in MUV), "1: active"),
        metric="prc-auc",
        licence=NO_LICENCE,
        cite=f"Rohrer & Baumann 2009, doi:10.1021/ci8002649; {MOLECULENET}",
        rows=93_127,
        note="84 % of the labels are missing; about 30 actives a task. The mirror has other bytes than others pin.",
    ),
    "qm7": Source(
        (
            github(
                "tencent-ailab/grover/afcf06bc30f3af93b8e4a74be7069d88c675b3f4/exampledata/finetune/qm7.csv",
                409_309,
                "eb793e3172c4a74cfb74ef805e6cdea79d1db16fd1f40a42f459297ad6457548",
                "moleculenet/qm7.csv",
                "eb793e3172c4a74cfb74ef805e6cdea79d1db16fd1f40a42f459297ad6457548",
            ),
        ),
        smiles="smiles",
        targets={"u0_atom": "kcal/mol"},
        metric="mae",
        licence="no explicit licence (quantum-machine.org)",
        cite=f"Rupp et al. 2012, doi:10.1103/PhysRevLett.108.058301; {MOLECULENET}",
        rows=6_830,
        note="GROVER's copy (DeepChem's has 6,834 rows). At least 15 % of the labels contradict their SMILES.",
    ),
    "qm8": Source(
        (
            Part(
                DEEPCHEM + "qm8.csv",
                "sha256:3e70e56805edb2f0796b64f96af9b53dd8cca408d775612d47123f7d2da7d61d",
                4_719_270,
                "moleculenet/qm8.csv.gz",
                "04c445ef01a22b6fbe032c10bccd4c73704c3fd96e3c96a675c1b3a7658df877",
                verified=False,
            ),
        ),
        smiles="smiles",
        targets={f"{what}-{level}": unit for level in QM8 for what, unit in QM8_UNITS.items()}
        | {f"{what}-PBE0.1": unit for what, unit in QM8_UNITS.items()},
        metric="mae",
        licence="no explicit licence (quantum-machine.org)",
        cite=f"Ramakrishnan et al. 2015, doi:10.1063/1.4928757; {MOLECULENET}",
        rows=21_786,
        note="The four PBE0 columns stand in it twice, with equal values. 20 repeated molecules, all with different "
        "values. The hash is that of chemprop's copy of 2018.",
    ),
    "qm9": Source(
        (Part(DEEPCHEM + "gdb9.tar.gz", "md5:560f62d8e6c992ca0cf8ed8d013f9131", 60_000_000),),
        smiles="",
        targets=QM9_UNITS,
        metric="mae",
        licence="CC0 (figshare)",
        cite=f"Ramakrishnan et al. 2014, doi:10.1038/sdata.2014.22; {MOLECULENET}",
        rows=133_885,
        reader="gdb9",
        note="Mol blocks with the relaxed geometry, and all labels. u0 … g298 are total energies: their spread is that "
        "of the composition.",
    ),
    "qm9-partial": Source(
        page("https://doi.org/10.6084/m9.figshare.c.978904"),
        smiles="smiles",
        targets=QM9_UNITS,
        metric="mae",
        licence="CC0 (figshare)",
        cite=f"Ramakrishnan et al. 2014, doi:10.1038/sdata.2014.22; {MOLECULENET}",
        rows=133_885,
        note="Put together from published pieces: 22,274 rows have all labels, 71,186 only homo, lumo and gap, 14,249 "
        "only gap. Not to be reported as QM9.",
        mirror=Mirror(
            "moleculenet/qm9_partial.csv.gz",
            "7efa5d14e05c142a905e36171c3a3bd8685f8e78c7fb57f5ea73708ad4272c58",
            133_885,
        ),
    ),
    "qm9-g4mp2": Source(
        page("https://doi.org/10.18126/M2V65Z"),
        smiles="smiles",
        targets={"g4mp2_atomization_hartree": "hartree"},
        metric="mae",
        licence="no explicit licence",
        cite="Ward et al. 2019, doi:10.1557/mrc.2019.107",
        rows=130_258,
        note="`split` is that of the authors. The level of theory is inferred; 86 repeated molecules, 25 with "
        "different values.",
        mirror=Mirror(
            "moleculenet/qm9_g4mp2_atomization.csv.gz",
            "ee31cdacbe8d2e8b9614d2e9a100ba2d41566960f5339d1283977ea9984a6999",
            130_258,
        ),
    ),
}
