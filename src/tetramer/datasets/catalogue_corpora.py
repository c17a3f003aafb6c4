"""Sets beside MoleculeNet: an assay that is always there, corpora for pretraining, reactions, pairs, geometries."""

from tetramer.datasets.entries import Mirror, Part, Source, github, page
from tetramer.datasets.xyz import QM9

LOWE = "Lowe 2012, patents of the USPTO, doi:10.6084/m9.figshare.5104873"
MOLR = "Wang et al. 2022, MolR, arXiv:2109.09888"
REXGEN = "Jin et al. 2017, arXiv:1709.04555"
ZINC = "ZINC, doi:10.1021/acs.jcim.5b00559"
FREESOLV = "MobleyLab/FreeSolv/6c7d19b4b565537365ffd22006aa2cd4643200c6/"


def _copied(place: str, size: int, sha256: str, mirror: str) -> tuple[Part, ...]:
    """A file of a repository whose mirror has the same bytes."""
    return (github(place, size, sha256, mirror, sha256),)


ASSAYS: dict[str, Source] = {
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
        reader="named-values",
        note="1,017 aryl sulfonamides; lies in the RDKit wheel, so it is there offline.",
    ),
}

CORPORA: dict[str, Source] = {
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
    "pubchem-100k": Source(
        page("https://github.com/rdkit/rdkit/tree/24e544313514/rdkit/Chem/MolStandardize/test_data"),
        smiles="smiles",
        targets={},
        metric="",
        licence="public domain (PubChem); BSD-3-Clause (RDKit)",
        cite="PubChem, doi:10.1093/nar/gkac956; Landrum et al., RDKit",
        rows=99_991,
        note="Raw substances: 8.6 % have several components, 0.02 % cannot be parsed; metals and odd valences.",
        mirror=Mirror(
            "pretrain/pubchem_100k.smi.gz",
            "213ed0f11ade323f5164f188ca3829bf1e111efdb9e9c1cff4148eb7acb34d0b",
            99_991,
        ),
    ),
    "zinc-natural-products": Source(
        _copied(
            "rdkit/rdkit/24e544313514/Regress/Data/znp.50k.smi.gz",
            851_974,
            "707df3d896dedad254509bd4188757f23920e628f2faffb4a5fafcccc3e86cdc",
            "pretrain/zinc_natural_products_50k.smi.gz",
        ),
        smiles="smiles",
        targets={},
        metric="",
        licence="free use (ZINC); BSD-3-Clause (RDKit)",
        cite=f"{ZINC}; Landrum et al., RDKit, Regress",
        rows=50_000,
        note="5,703 repeated SMILES; many molecules are charged as at pH 7.",
    ),
    "chembl-78k": Source(
        (
            Part(  # the repository keeps it in Git LFS, whose pointer names this SHA-256
                "https://media.githubusercontent.com/media/undeadpixel/reinvent-randomized/"
                "78e7a3793b787f7fbfb5a0ec817e95b114fdd891/training_sets/chembl.validation.smi",
                "sha256:45da814a9f84685eadaabf07b3914a1a23f9213bcbc1e586c213f67aca78c05a",
                3_819_675,
                "pretrain/chembl_78k.smi.gz",
                "66b7ba27d1ced090dc846ca7541ee76f14462f9464d0d9d0598f68d9f687fe13",
            ),
        ),
        smiles="smiles",
        targets={},
        metric="",
        licence="CC BY-SA 3.0 (ChEMBL); MIT",
        cite="Arús-Pous et al. 2019, doi:10.1186/s13321-019-0393-0",
        rows=78_102,
        note="No stereochemistry.",
    ),
}

REACTIONS: dict[str, Source] = {
    "uspto-mit": Source(
        (
            Part(
                "https://raw.githubusercontent.com/wengong-jin/nips17-rexgen/master/USPTO/data.zip",
                "sha256:6d94a136e11f76fe464430cb95d1ae6db37b6ca352161ca4edddd9e6fe76a88a",
                100_000_000,
            ),
        ),
        smiles="",
        targets={},
        metric="",
        licence="CC0 (Lowe)",
        cite=f"{REXGEN}; {LOWE}",
        rows=479_035,
        holds="reactions",
        reader="rexgen-zip",
        note="`split` is that of the authors. The mirror lacks the 409,035 reactions of the train part.",
        mirror=Mirror(
            "reactions/uspto_mit_valid_test.parquet",
            "9b08885d4cd56f935ffbf825afffe06d678944bb3ef0d64f43f1a208d7b58808",
            70_000,
        ),
    ),
    "uspto-15k": Source(
        (
            github(
                "wengong-jin/nips17-rexgen/84e460ea67fcbe1c5977d10c9b2a7797c40a0856/USPTO-15K/data.zip", 20_000_000, ""
            ),
        ),
        smiles="",
        targets={},
        metric="",
        licence="MIT; CC0 (Lowe)",
        cite=f"Coley et al. 2017, doi:10.1021/acscentsci.7b00064; {REXGEN}",
        rows=15_000,
        holds="reactions",
        reader="rexgen-zip",
        note="Nobody publishes a hash of the zip file.",
        mirror=Mirror(
            "reactions/uspto_15k.parquet", "97d53604834296d6998c038d06b37ad8ae9f57fabb597f84e596d24100845116", 15_000
        ),
    ),
    "uspto-50k": Source(
        tuple(
            Part(
                "https://raw.githubusercontent.com/bigchem/retrosynthesis/45fdda78cabaf95c1af746dd84b410e394241fd7/"
                f"data/retrosynthesis-{part}.smi",
                f"sha256:{sha256}",
                size,
                verified=False,
            )
            for part, size, sha256 in (
                ("train", 4_057_518, "22ca2db3d184760bc582b7982ff23798befb82d50fe44a78f7d3351b80df3769"),
                ("valid", 509_046, "59c25a0ac6a24f9b7143a3a7c3e2d664089ab03015760a3cb76a0f128dbfce3a"),
                ("test", 507_916, "ee618b39571daaebb9eadf02f504a55566ebb1a77451cf52c0c0cb4e54eb44b5"),
            )
        ),
        smiles="",
        targets={},
        metric="",
        licence="no explicit licence; CC0 (Lowe)",
        cite=f"Liu et al. 2017, doi:10.1021/acscentsci.7b00303; {LOWE}",
        rows=50_037,
        holds="reactions",
        reader="arrow-lines",
        note="The hashes are those of the files written anew from the mirror: equal in length to the published ones.",
        mirror=Mirror(
            "reactions/uspto_50k.parquet", "895efe401a2c3a7fdee3709f6926cacb61f0705abfa961d6beba767b6f6ed319", 50_037
        ),
    ),
    "uspto-full": Source(
        page("https://github.com/bigchem/synthesis/tree/master/uspto-full"),
        smiles="",
        targets={},
        metric="",
        licence="no explicit licence; CC0 (Lowe)",
        cite=f"Dai et al. 2019, arXiv:2001.01408; {LOWE}",
        rows=192_119,
        holds="reactions",
        note="Valid and test parts only; reagents without a map number stand among the reactants; some maps are wrong.",
        mirror=Mirror(
            "reactions/uspto_full_valid_test.parquet",
            "6279ba9eac1fd1a367aa724c00162eae91519c6a0ef0e0f9ffbce6b71813de0d",
            192_119,
        ),
    ),
    "real-reactions": Source(
        _copied(
            "hwwang55/MolR/368e52e896b599474f8b60edd807493d1fc6c9a2/data/real_reaction_test/real_reaction_test.csv",
            2_030,
            "566f26bd582929486645d1f81e2101206a6d9195cd79e0b1d44b898c3359cf06",
            "reactions/real_reaction_test.csv",
        ),
        smiles="reactant",
        targets={},
        metric="",
        licence="MIT",
        cite=MOLR,
        rows=16,
        holds="reactions",
        note="Multiple choice: `answer` is the number of the right one of choice_0 to choice_4.",
    ),
    "qm9-ged": Source(
        _copied(
            "hwwang55/MolR/984ad0592efd2af63b5ba1ee965970f6559afc4b/data/QM9/pairwise_ged.csv",
            237_961,
            "f23d3c8b635dc292e56824de268b1482262cef290b10aea17e3a4c6476fce064",
            "graph_edit/qm9_pairwise_ged.csv",
        ),
        smiles="smiles1",
        targets={"ged": "edits"},
        metric="rmse",
        licence="MIT",
        cite=MOLR,
        rows=10_000,
        holds="pairs",
        note="Exact graph edit distance of `smiles1` and `smiles2`. Split by molecule, not by pair.",
    ),
}

GEOMETRIES: dict[str, Source] = {
    "qm9-xyz": Source(
        (Part("https://ndownloader.figshare.com/files/3195389", "md5:ad1ebd51ee7f5b3a6e32e974e5d54012", 86_144_227),),
        smiles="smiles",
        targets={},
        metric="",
        licence="CC0 (figshare)",
        cite="Ramakrishnan et al. 2014, doi:10.1038/sdata.2014.22",
        rows=133_885,
        holds="geometries",
        reader="qm9-tar",
        note=f"The public file also holds {QM9[0]} … {QM9[-1]}. The mirror lacks these, molecules with F, and those "
        "that fail the consistency check.",
        mirror=Mirror(
            "3d/qm9_geometry.parquet", "db14d090fe3cc1fd1c64864eab0cdd08d18cc4929cf44eee3833ad64150667dc", 128_744
        ),
    ),
    "qm7-geometry": Source(
        page("https://github.com/qmlcode/tutorial/tree/da714b162019"),
        smiles="",
        targets={"energy_dft_kcal_mol": "kcal/mol"},
        metric="mae",
        licence="MIT",
        cite="Rupp et al. 2012, doi:10.1103/PhysRevLett.108.058301; qmlcode/tutorial",
        rows=7_101,
        holds="geometries",
        note="No SMILES; not the labels of `qm7`. `energy_dftb_kcal_mol` may be a base to learn from, not a feature.",
        mirror=Mirror(
            "3d/qm7_geometry.parquet", "0dc5a853068205704c2b87d3fc59d87f2b56d3afeb0c3553fbbf4aae174a90a8", 7_101
        ),
    ),
    "pcqm4mv2-2k": Source(
        (
            github(
                "datamol-io/graphium/1960d56c832d176889325432f213c507d42ec5ac/tests/data/pcqm4mv2-2k.csv",
                1_504_570,
                "a26a6fc08db2e21d9e0a499d9d6c6543b8398e7065e695eda53ad15468ca32fe",
                "3d/pcqm4mv2_2k.csv.gz",
                "0ee4837444682b2df96da957e6581d08c5a7d35a6b2c649b8913ea688bc70b3d",
            ),
        ),
        smiles="smiles",
        targets={"homo": "eV; in truth the HOMO-LUMO gap"},
        metric="mae",
        licence="CC BY 4.0; Apache-2.0",
        cite="Hu et al. 2021, OGB-LSC, arXiv:2103.09430; datamol-io/graphium",
        rows=1_999,
        holds="geometries",
        reader="cxsmiles",
        note="`coordinates` are those of the atoms in the order of the SMILES, hydrogens written out.",
    ),
    "pdb-ligands": Source(
        page("https://www.rcsb.org"),
        smiles="",
        targets={},
        metric="",
        licence="CC0 (PDB); GPL-2.0 (Open Babel)",
        cite="Berman et al. 2000, doi:10.1093/nar/28.1.235; openbabel/openbabel, test/pdb_ligands_sdf",
        rows=13_997,
        holds="geometries",
        note="Bound poses of heavy atoms only; 23 cannot be read; repeated ligands.",
        mirror=Mirror(
            "3d/pdb_ligands.sdf.gz", "cf10c1044b1873b1368f4a093f6b6dca94d36bd1edb02df1e94076d933c315ec", 13_997
        ),
    ),
    "spice-des-monomers": Source(
        _copied(
            "openmm/spice-dataset/06f4323df9390e30ec92f567be3874c9dabfbfe2/des370k/des-monomers.hdf5",
            3_617_152,
            "6815d51e0cf91237b636490183c7e023269d06f8edfa66b83a3c22e0f96348ca",
            "3d/spice_des_monomers.hdf5",
        ),
        smiles="smiles",
        targets={},
        metric="",
        licence="CC0",
        cite="Eastman et al. 2023, SPICE, doi:10.1038/s41597-022-01882-6",
        rows=378,
        holds="geometries",
        reader="hdf5",
        note="50 conformers a molecule, without energies; in nm in the file, in Å as read. Reading HDF5 needs h5py.",
    ),
    "aqsol-xyz": Source(
        (
            github(
                "BingqingCheng/linear-regression-benchmarks/177a6be0dc42/thermo/aqsol/aqsol_1762_w_smiles.xyz",
                2_610_157,
                "ba2b462be9b682212b0c7e423c547c43afbe72e65ae3f29b5b968842b699eca8",
                "3d/aqsol_1762_w_smiles.xyz.gz",
                "79987dea02e2af1c913d5843722a280ca230d7370fb1d806e80d7f7cf7432fdb",
            ),
        ),
        smiles="smiles",
        targets={"log_sol_mol_l": "log10 mol/L"},
        metric="rmse",
        licence="MIT",
        cite="Cheng et al. 2020, doi:10.1021/acs.accounts.0c00403; BingqingCheng/linear-regression-benchmarks",
        rows=1_760,
        holds="geometries",
        reader="json-xyz",
        note="Computed conformers; 1,760 frames in spite of the file's name.",
    ),
    "freesolv-3d": Source(
        (
            *_copied(
                FREESOLV + "sdffiles.tar.gz",
                233_053,
                "b8ae36f71a698a6feaf07cc03ed2e218d53d100b6bdb26cfca84af6e1f173f2f",
                "3d/freesolv_sdffiles.tar.gz",
            ),
            *_copied(
                FREESOLV + "database.txt",
                144_897,
                "2d13f095713bc39b85f85dd7b4e5483fbb12fc694bf253bb1d92a4c4d484f260",
                "3d/freesolv_database.txt",
            ),
        ),
        smiles="smiles",
        targets={"expt": "kcal/mol"},
        metric="rmse",
        licence="CC BY 4.0 or CC BY-NC-SA, by version",
        cite="Mobley & Guthrie 2014, doi:10.1007/s10822-014-9747-x; version 0.52",
        rows=642,
        holds="geometries",
        reader="freesolv",
        note="Mol blocks with coordinates and hydrogens beside the database. `calc` is computed, not measured.",
    ),
}
