"""Public data sets: where each lies, how its bytes are checked, what its columns mean."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """One file. `hash` is that of the PUBLIC bytes, as "sha256:…" or the "md5:…" that others pin.

    `mirror` is a path under TETRAMER_DATA with its own hash, for a copy whose bytes may differ; `bundled` a path inside
    an installed package. `verified`: somebody else pins the same hash for what the url serves.
    """

    url: str
    hash: str
    size: int  # bytes of the public file, or more; a download is cut off 1 MB beyond
    mirror: str = ""
    mirror_sha256: str = ""
    bundled: str = ""
    verified: bool = True


TASKS = {"rmse": "regression", "mae": "regression", "roc-auc": "binary", "prc-auc": "binary", "": "none"}


@dataclass(frozen=True)
class Source:
    """One data set. `targets`: column → unit; `metric`: a key of METRICS, or "" for structures without labels."""

    parts: tuple[Part, ...]
    smiles: str
    targets: dict[str, str]
    metric: str
    licence: str
    cite: str
    rows: int
    note: str = ""

    @property
    def task(self) -> str:
        """ "regression", "binary" or "none"."""
        return TASKS[self.metric]

    @property
    def verified(self) -> bool:
        """Whether others pin the hashes of all parts."""
        return all(part.verified for part in self.parts)


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


def _moleculenet(name: str, md5: str, size: int, sha256: str) -> tuple[Part, ...]:
    """A file whose mirror has the public bytes."""
    return (Part(DEEPCHEM + name, f"md5:{md5}", size, f"moleculenet/{name}", sha256),)


SOURCES: dict[str, Source] = {
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
    "chembl2321810": Source(
        (
            Part(
                "https://raw.githubusercontent.com/rdkit/rdkit/master/Contrib/FreeWilson/data/CHEMBL2321810.smi",
                "sha256:3feff3aa19f16c7a3aa8695acddd442d1fb3d582485bb7fe8754e7b36dc1894f",
                66_037,
                bundled="rdkit/Contrib/FreeWilson/data/CHEMBL2321810.smi",
            ),
            Part(
                "https://raw.githubusercontent.com/rdkit/rdkit/master/Contrib/FreeWilson/data/CHEMBL2321810_act.csv",
                "sha256:e74db717fa4704befa07eb41ad4845fa437bf3c12eb2b6a854576dbd2e8819fa",
                13_230,
                bundled="rdkit/Contrib/FreeWilson/data/CHEMBL2321810_act.csv",
            ),
        ),
        smiles="smiles",
        targets={"pIC50": "−log10 mol/L"},
        metric="rmse",
        licence="CC BY-SA 3.0 (ChEMBL); BSD-3-Clause (RDKit)",
        cite="ChEMBL document CHEMBL2321810; Landrum et al., RDKit, Contrib/FreeWilson",
        rows=1_017,
        note="1,017 aryl sulfonamides; lies in the RDKit wheel, so it is there offline.",
    ),
    "zinc250k": Source(
        (
            Part(
                "https://raw.githubusercontent.com/aspuru-guzik-group/chemical_vae/master/models/zinc_properties/"
                "250k_rndm_zinc_drugs_clean_3.csv",
                "md5:b59078b2b04c6e9431280e3dc42048d5",
                30_000_000,
                "pretrain/zinc250k.smi.gz",
                "4e9c6ab85040edf0ecccc6196992dc1a2873d75eb0c1521e0c3e8a3b67dee175",
            ),
        ),
        smiles="smiles",
        targets={},
        metric="",
        licence="free use (ZINC)",
        cite="Gómez-Bombarelli et al. 2018, doi:10.1021/acscentsci.7b00572; ZINC, doi:10.1021/acs.jcim.5b00559",
        rows=249_455,
        note="The mirror holds the SMILES column only.",
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
}
