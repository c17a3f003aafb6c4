"""RDKit's descriptors, value for value, with the work that they share done once a molecule.

RDKit computes each of its two hundred descriptors alone. Here the atoms, the charges, the contributions to surface,
logP and refractivity, the distances and the paths are found once; whatever these shared forms do not know, or refuse,
is asked of RDKit's own functions.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
from rdkit import Chem
from rdkit.Chem import rdMolDescriptors, rdPartialCharges

from tetramer.views import indices
from tetramer.views.indices import Skeleton

# Left out of RDKit's list: qed and SPS (slow sums of what is there already), Ipc and AvgIpc (overflow on large
# molecules), the Morgan densities (the counts say more).
LEFT_OUT = ("qed", "SPS", "Ipc", "AvgIpc", "FpDensityMorgan1", "FpDensityMorgan2", "FpDensityMorgan3")

NAMES = tuple(
    """
    MaxAbsEStateIndex MaxEStateIndex MinAbsEStateIndex MinEStateIndex MolWt HeavyAtomMolWt ExactMolWt
    NumValenceElectrons NumRadicalElectrons MaxPartialCharge MinPartialCharge MaxAbsPartialCharge MinAbsPartialCharge
    BCUT2D_MWHI BCUT2D_MWLOW BCUT2D_CHGHI BCUT2D_CHGLO BCUT2D_LOGPHI BCUT2D_LOGPLOW BCUT2D_MRHI BCUT2D_MRLOW BalabanJ
    BertzCT Chi0 Chi0n Chi0v Chi1 Chi1n Chi1v Chi2n Chi2v Chi3n Chi3v Chi4n Chi4v HallKierAlpha Kappa1 Kappa2 Kappa3
    LabuteASA PEOE_VSA1 PEOE_VSA10 PEOE_VSA11 PEOE_VSA12 PEOE_VSA13 PEOE_VSA14 PEOE_VSA2 PEOE_VSA3 PEOE_VSA4 PEOE_VSA5
    PEOE_VSA6 PEOE_VSA7 PEOE_VSA8 PEOE_VSA9 SMR_VSA1 SMR_VSA10 SMR_VSA2 SMR_VSA3 SMR_VSA4 SMR_VSA5 SMR_VSA6 SMR_VSA7
    SMR_VSA8 SMR_VSA9 SlogP_VSA1 SlogP_VSA10 SlogP_VSA11 SlogP_VSA12 SlogP_VSA2 SlogP_VSA3 SlogP_VSA4 SlogP_VSA5
    SlogP_VSA6 SlogP_VSA7 SlogP_VSA8 SlogP_VSA9 TPSA EState_VSA1 EState_VSA10 EState_VSA11 EState_VSA2 EState_VSA3
    EState_VSA4 EState_VSA5 EState_VSA6 EState_VSA7 EState_VSA8 EState_VSA9 VSA_EState1 VSA_EState10 VSA_EState2
    VSA_EState3 VSA_EState4 VSA_EState5 VSA_EState6 VSA_EState7 VSA_EState8 VSA_EState9 FractionCSP3 HeavyAtomCount
    NHOHCount NOCount NumAliphaticCarbocycles NumAliphaticHeterocycles NumAliphaticRings NumAmideBonds
    NumAromaticCarbocycles NumAromaticHeterocycles NumAromaticRings NumAtomStereoCenters NumBridgeheadAtoms
    NumHAcceptors NumHDonors NumHeteroatoms NumHeterocycles NumRotatableBonds NumSaturatedCarbocycles
    NumSaturatedHeterocycles NumSaturatedRings NumSpiroAtoms NumUnspecifiedAtomStereoCenters Phi RingCount MolLogP
    MolMR fr_Al_COO fr_Al_OH fr_Al_OH_noTert fr_ArN fr_Ar_COO fr_Ar_N fr_Ar_NH fr_Ar_OH fr_COO fr_COO2 fr_C_O
    fr_C_O_noCOO fr_C_S fr_HOCCN fr_Imine fr_NH0 fr_NH1 fr_NH2 fr_N_O fr_Ndealkylation1 fr_Ndealkylation2 fr_Nhpyrrole
    fr_SH fr_aldehyde fr_alkyl_carbamate fr_alkyl_halide fr_allylic_oxid fr_amide fr_amidine fr_aniline fr_aryl_methyl
    fr_azide fr_azo fr_barbitur fr_benzene fr_benzodiazepine fr_bicyclic fr_diazo fr_dihydropyridine fr_epoxide
    fr_ester fr_ether fr_furan fr_guanido fr_halogen fr_hdrzine fr_hdrzone fr_imidazole fr_imide fr_isocyan
    fr_isothiocyan fr_ketone fr_ketone_Topliss fr_lactam fr_lactone fr_methoxy fr_morpholine fr_nitrile fr_nitro
    fr_nitro_arom fr_nitro_arom_nonortho fr_nitroso fr_oxazole fr_oxime fr_para_hydroxylation fr_phenol
    fr_phenol_noOrthoHbond fr_phos_acid fr_phos_ester fr_piperdine fr_piperzine fr_priamide fr_prisulfonamd
    fr_pyridine fr_quatN fr_sulfide fr_sulfonamd fr_sulfone fr_term_acetylene fr_tetrazole fr_thiazole fr_thiocyan
    fr_thiophene fr_unbrch_alkane fr_urea
    """.split()  # noqa: SIM905 (to be read)
)  # (D,)

FAILURES = (ValueError, ZeroDivisionError, RuntimeError, ArithmeticError, IndexError, KeyError)
LARGEST = float(np.finfo(np.float32).max)

Values = dict[str, float]


def numbered(stem: str, count: int) -> tuple[str, ...]:
    """Names as RDKit numbers them, from 1."""
    return tuple(f"{stem}{number + 1}" for number in range(count))


MOST_ATOMS = 300  # beyond which the eigenvalues of BCUT, which cost n³, are left out (NaN)
BCUT = tuple(name for name in NAMES if name.startswith("BCUT2D_"))
PEOE, SLOGP, SMR = numbered("PEOE_VSA", 14), numbered("SlogP_VSA", 12), numbered("SMR_VSA", 10)
BY_STATE, BY_AREA = numbered("EState_VSA", 11), numbered("VSA_EState", 10)
CHI = ("Chi2v", "Chi2n", "Chi3v", "Chi3n", "Chi4v", "Chi4n")


@cache
def bins() -> dict[str, np.ndarray]:
    """Where RDKit cuts surfaces and states."""
    from rdkit.Chem import MolSurf
    from rdkit.Chem.EState import EState_VSA

    cuts = {"logp": MolSurf.logpBins, "mr": MolSurf.mrBins, "charge": MolSurf.chgBins}
    cuts |= {"state": EState_VSA.estateBins, "area": EState_VSA.vsaBins}
    return {name: np.array(edges) for name, edges in cuts.items()}


def binned(names: Sequence[str], by: np.ndarray, cut: str, what: np.ndarray) -> Values:
    """`what` (n,) summed over the atoms whose `by` (n,) falls into each bin."""
    places = np.searchsorted(bins()[cut], by, side="right")
    return dict(zip(names, np.bincount(places, what, len(names)).tolist(), strict=True))


def surfaces(mol: Chem.Mol, shape: Skeleton) -> Values:
    """What sums atoms by charge, logP, refractivity, surface or state."""
    rdPartialCharges.ComputeGasteigerCharges(mol)
    charge = [atom.GetDoubleProp("_GasteigerCharge") for atom in shape.atoms]  # not finite where not parametrised
    low, high = 500.0, -500.0
    for one in charge:
        low, high = min(one, low), max(one, high)
    values = {"MinPartialCharge": low, "MaxPartialCharge": high}
    values |= {"MaxAbsPartialCharge": max(abs(low), abs(high)), "MinAbsPartialCharge": min(abs(low), abs(high))}
    contributions = rdMolDescriptors._CalcCrippenContribs(mol)
    logp, refractivity = map(list, zip(*contributions, strict=True))
    area = np.array(rdMolDescriptors._CalcLabuteASAContribs(mol, True)[0])
    state = indices.estate(mol, shape)
    size = np.abs(state)
    values |= {"MaxEStateIndex": state.max(), "MinEStateIndex": state.min()}
    values |= {"MaxAbsEStateIndex": size.max(), "MinAbsEStateIndex": size.min()}
    values |= binned(SLOGP, np.array(logp), "logp", area) | binned(SMR, np.array(refractivity), "mr", area)
    values |= binned(BY_STATE, state, "state", area) | binned(BY_AREA, area, "area", state)
    if np.isfinite(charge).all():
        values |= binned(PEOE, np.array(charge), "charge", area)
    else:
        values |= dict(zip(PEOE, rdMolDescriptors.PEOE_VSA_(mol), strict=True))
    return values | burden(mol, shape, charge, logp, refractivity)


def burden(mol: Chem.Mol, shape: Skeleton, *properties: list[float]) -> Values:
    """The ends of the spectra of Burden matrices, for mass, charge, logP and refractivity; NaN where RDKit refuses."""
    if len(shape.numbers) > MOST_ATOMS:
        return dict.fromkeys(BCUT, np.nan)
    plain = len(shape.ends) >= len(shape.numbers) - 1 > 0 and (shape.numbers > 1).all()
    if not plain or len(Chem.GetMolFrags(mol)) > 1 or not np.isfinite(properties).all():
        try:
            return dict(zip(BCUT, rdMolDescriptors.BCUT2D(mol), strict=True))
        except FAILURES:
            return dict.fromkeys(BCUT, np.nan)
    masses = [atom.GetMass() for atom in shape.atoms]
    ends = [rdMolDescriptors.BCUT2D(mol, one) for one in (masses, *properties)]
    return dict(zip(BCUT, [end for pair in ends for end in pair], strict=True))


def topology(mol: Chem.Mol, shape: Skeleton) -> Values:
    """What depends on the graph alone."""
    apart = Chem.GetDistanceMatrix(mol, useBO=True, useAtomWts=False, force=True, prefix="Balaban")
    zero, one = indices.degrees(shape)
    values = {"BalabanJ": indices.balaban(shape, apart), "BertzCT": indices.bertz(shape, apart)}
    values |= {"Chi0": zero, "Chi1": one}
    if not indices.has_small_ring(mol):
        if (chi := indices.chi(shape)) is not None:
            values |= dict(zip(CHI, chi.reshape(-1).tolist(), strict=True))
        if (kappa := indices.kappa(mol, shape)) is not None:
            values |= dict(zip(("Kappa2", "Kappa3", "Phi"), kappa, strict=True))
    return values


def sums(mol: Chem.Mol, shape: Skeleton) -> Values:
    """Electrons, and logP and refractivity with hydrogens."""
    logp, refractivity = rdMolDescriptors.CalcCrippenDescriptors(mol)
    electrons = int((indices.OUTER[shape.numbers] + shape.hydrogens).sum()) - Chem.GetFormalCharge(mol)
    radicals = sum([atom.GetNumRadicalElectrons() for atom in shape.atoms])
    return {
        "MolLogP": logp,
        "MolMR": refractivity,
        "NumValenceElectrons": electrons,
        "NumRadicalElectrons": radicals,
    }


# What a molecule must have for a fragment to be in it, one letter each: N, O, S, P, X halogen, h hydroxyl, n nitrogen
# with hydrogen, a aromatic bond, e C=C, t triple bond.
NEEDS = {
    "C_O C_O_noCOO methoxy ketone ether aldehyde ketone_Topliss epoxide": "O",
    "ester Al_COO COO COO2 lactone": "OO",
    "Al_OH Al_OH_noTert": "h",
    "Ar_OH phenol phenol_noOrthoHbond": "ha",
    "furan": "Oa",
    "Ar_COO": "OOa",
    "quatN NH0 Imine piperdine Ndealkylation1 Ndealkylation2": "N",
    "NH2 NH1": "n",
    "dihydropyridine": "Ne",
    "nitrile": "Nt",
    "Ar_N aniline pyridine ArN": "Na",
    "Ar_NH Nhpyrrole": "na",
    "hdrzine hdrzone azo amidine piperzine": "NN",
    "diazo": "NNt",
    "imidazole benzodiazepine": "NNa",
    "azide guanido": "NNN",
    "tetrazole": "NNNNa",
    "oxime nitroso N_O amide isocyan morpholine lactam": "NO",
    "HOCCN": "Nh",
    "priamide": "nO",
    "imide nitro": "NOO",
    "alkyl_carbamate": "nOO",
    "urea": "NNO",
    "barbitur": "NNOOO",
    "oxazole": "NOa",
    "nitro_arom nitro_arom_nonortho": "NOOa",
    "sulfide SH C_S": "S",
    "sulfone": "SOO",
    "sulfonamd": "NSOO",
    "prisulfonamd": "nSOO",
    "isothiocyan": "NS",
    "thiocyan": "NSt",
    "thiophene": "Sa",
    "thiazole": "NSa",
    "halogen alkyl_halide": "X",
    "phos_acid phos_ester": "POOO",
    "benzene para_hydroxylation": "aaaaaa",
    "aryl_methyl": "a",
    "allylic_oxid": "e",
    "term_acetylene": "t",
    "unbrch_alkane bicyclic": "",
}
LETTERS = {"N": (7,), "O": (8,), "S": (16,), "P": (15,), "X": (9, 17, 35, 53)}


def letters(shape: Skeleton) -> dict[str, int]:
    """How many of each letter of NEEDS a molecule has, or more."""
    numbers, double = shape.numbers.tolist(), shape.ends[shape.orders == 2]
    has = {letter: sum(map(numbers.count, elements)) for letter, elements in LETTERS.items()}
    carrying = shape.numbers[(shape.hydrogens > 0) | (1 in numbers)].tolist()  # or with hydrogens of their own
    has |= {"h": carrying.count(8), "n": carrying.count(7), "a": int((shape.orders == 1.5).sum())}
    has |= {"e": int((shape.numbers[double] == 6).all(axis=1).sum()), "t": int((shape.orders == 3).sum())}
    return has


@cache
def fragments() -> tuple[tuple[str, Chem.Mol, list[tuple[str, int]]], ...]:
    """RDKit's 85 fragments: name, pattern, and how many of which letters it needs."""
    from rdkit.Chem import Fragments

    needs = {f"fr_{name}": Counter(told) for group, told in NEEDS.items() for name in group.split()}
    return tuple((name, function.__defaults__[-1], list(needs[name].items())) for name, function in Fragments.fns)


def groups(mol: Chem.Mol, shape: Skeleton) -> Values:
    """How often each fragment occurs; the search is saved where the molecule lacks what it needs."""
    has = letters(shape)
    return {
        name: len(mol.GetSubstructMatches(pattern, uniquify=True))
        if all([has[letter] >= count for letter, count in needs])  # noqa: C419 (a generator is slower)
        else 0
        for name, pattern, needs in fragments()
    }


SHARED: tuple[Callable[[Chem.Mol, Skeleton], Values], ...] = (surfaces, topology, sums, groups)


@cache
def functions() -> dict[str, Callable[[Chem.Mol], float]]:
    """RDKit's own functions, in the order of NAMES."""
    from rdkit.Chem import Descriptors

    table = dict(Descriptors._descList)
    return {name: table[name] for name in NAMES}


def describe(mol: Chem.Mol, shape: Skeleton | None = None) -> np.ndarray:
    """(D,) float32 descriptors; NaN where one is undefined, infinite or too large for float32."""
    values: Values = {}
    shape = shape or Skeleton.of(mol)
    with np.errstate(all="ignore"):
        for shared in SHARED:
            try:
                values |= shared(mol, shape)
            except FAILURES:
                continue  # RDKit's functions are asked one by one
        for name, function in functions().items():
            if name not in values:
                try:
                    values[name] = function(mol)
                except FAILURES:
                    values[name] = np.nan  # undefined for this molecule, such as a partial charge of a metal
        told = np.array([values[name] for name in NAMES], np.float64)
        told[~(np.abs(told) < LARGEST)] = np.nan
    return told.astype(np.float32)
