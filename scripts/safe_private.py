"""Which private attributes are safe: PS3.15, Table E.3.10-1, as tags and value representations.

Source: DICOM PS3.15 2026d, Table E.3.10-1 (read in pymedphys/pymedphys, `_standard/e3_10_1.json`, commit 985a1bd, whose
digest of the standard's page is 101ac4ae). Facts only; the meanings are in the standard. Four rows without a value
representation (SIEMENS Ultrasound SC2000, 0119xx11, 0119xx12, 0129xx03 to 0129xx05) are left out.
"""

from __future__ import annotations

ROWS: dict[str, dict[str, str]] = {
    "Philips PET Private Group": {"7053": "00DS 09DS"},
    "ELSCINT1": {"00E1": "21DS 50DS", "01E1": "26CS", "01F1": "01CS 07DS 26DS 27DS"},
    "GEMS_ACQU_01": {"0019": "23DS 24DS 27DS 9ELO"},
    "GEMS_PARM_01": {"0043": "27SH 39IS 6FDS"},
    "GEMS_SERS_01": {"0025": "07SL"},
    "GEMS_HELIOS_01": {"0045": "01SS 02FL"},
    "GEIIS PACS": {"0903": "10US 11US 12US"},
    "Philips Imaging DD 001": {
        "2001": """
            01FL 02IS 03FL 04CS 05SS 06CS 07CS 08IS 09FL 0AIS 0BCS 0CCS 0ECS 0FSS 10CS 11FL 12CS 13SL 14SL 15SS 16SS
            17SL 18SL 19CS 1AFL 1BFL 1CCS 1DIS 1ECS 1FCS 21CS 22FL 23DS 24CS 25SH 26CS 27CS 28FL 29FL 2ACS 2BCS 2CFL
            2DSS 2ECS 2FFL 30UL 31US 32FL 33CS 34CS 35SS 36CS 37CS 38FL 39FL 3ACS 3BFL 3CFL 3DUL 3EFL 3FCS 40CS 41FL
            42CS 43IS 44IS 45IS 46CS 47FL 48SS 49IS 4ACS 4BCS 4CCS 4DCS 4ECS 4FFD 50LO 51IS 53CS 54FL 55UL 56CS 57CS
            58UL 59IS 5AST 5DST 5EST 5FSQ 60SL 61CS 62CS 63CS 64SH 65SQ 66SQ 67CS 68SQ 69SQ 6ASQ 6BSQ 6DLO 6ESH 6FSQ
            71CS 72IS 73SQ 74DS 75DS 76UL 77CS 79SQ 7AFL 7BIS 7CUL 7DOW 7EUS 7FUS 80LO 81IS 82IS 83DS 84DS 85DS 86IS
            87SH 88DS 89DS 8ADS 8BSH 8CCS 90LO 91LO 92LO 93LO 94LO 9ASQ 9BUL 9DLO 9FUS A1CS A2US A3UL A4UL A5UL C0UL
            C1LO C2FD C3UL C5SQ C6SQ C7SQ CASQ CBIS D0AT D1US D2US D3US D4US D5US D6US D7US D8US D9US DACS DBUS DCUS
            DDUS DEUS DFUL E9SQ F1FL F2FL F3CS F4UL F5CS F6UL F7LO F9SQ FBSQ FCSQ FDSQ FFOW"""
    },
    "Philips Imaging DD 002": {
        "2001": """
            01US 02FD 03CS 04SS 05FD 06US 07CS 08FD 09FD 0AFD 0BFD 0CUS 0DCS 0EFD 0FUS 10SS 11SS 12CS 13SS 14FD 15FD
            16FD 17FD 18CS 19FD 1AFD 1BFD 1CFD 1DFD 1EFD 1FFD 20FD 21FD 22FD 23FD 24FD 25FD 26FD 27FD 28US 29US 2AUS
            2BSS 2CFD 2DFD 2ESS 2FSS 30SS 31SS 32SS 33SS 34SS 35FD 36FD 37FD 38FD 39CS 3ASQ 3BSQ 3CSQ 3DSQ 3ESS 3FSS
            40SS 50CS 52LO 53CS 57SQ 58SQ 5ALO 5CLO 5DUL 5EUL 5FSQ 63ST 64SQ 65CS 66CS 67LO 68LO 6BLO 71CS 72FL 73FL
            74LO 75SS"""
    },
    "Philips Imaging DD 097": {
        "2001": """
            01SQ 02FD 03FD 04FD 05SQ 06SQ 07FD 08SQ 0ASQ 0BSQ 0DFD 0ESQ 0FFD 12SQ 17US 18US 19LO 1AFD 1BUL 1CFD 1DFD
            1EFD 1FFD 21UL 22FD 23FD 24FD 25FD 26FD 27FD 28LO 2ALO 2BFD 2CFD 2DUL 2ESQ 2FOB 30SL 31SL 32SL 36LO 37FD
            38FD 39FD 3AFD 3BFD 3CSQ 3DFD 3ESQ 40UL 41LO 42SQ 44LO 45SL 46LO 47OB 49SQ 4AOB 4BSL 4CLO A1CS A2FD A3FD
            A4FD A5FD A6US A8IS A9SQ AAFD ABIS"""
    },
    "Philips Imaging DD 129": {"2001": "00SQ 01SQ 02SQ 03UL 04SQ 05FD 06FD 07CS 08CS 09UL"},
    "Philips ST80i": {"0025": "01OW"},
    "Philips MR Imaging DD 001": {"2005": "0DFL 0EFL"},
    "SIEMENS MR HEADER": {"0019": "0CIS 0DCS 0EFD 27FD"},
    "HOLOGIC, Inc.": {"7E01": "01LO 02SH 10SQ 11SQ 12OB"},
    "NQHeader": {"0099": "01UI 02UI 04SS 05LT 10FL 20SH 21FL"},
    "NQLeft": {"0199": " ".join(f"{element:02X}FL" for element in range(0x01, 0x17))},
    "NQRight": {"0299": " ".join(f"{element:02X}FL" for element in range(0x01, 0x17))},
    "SIEMENS Ultrasound SC2000": {
        "0119": "00LO 01OB 02SQ 03SQ 04OB 05UL 06UL 07UL 08UL 09SS 10SH 13IS 21SH",
        "0129": "00SQ 02UI 06SQ 07UI 08OB 09SQ 10OB 11SQ 12UI 20SQ 21OB 22OB 29OB 30CS",
        "0139": "01SL",
        "0149": "01FD 02FD 03FD",
        "7FD1": "01OB 09UI 10OB 11OB",
    },
    "SIEMENS SYNGO ULTRA-SOUND TOYON DATA STREAMING": {"7FD1": "01OB 09UI 10OB 11OB"},
}
"""Private creator to group to elements, two digits and a value representation each; OW stands for OW or OB."""


def table() -> dict[str, dict[str, str]]:
    """Creator to tag, as ``7053xx00``, to value representation."""
    return {
        creator: {f"{group}xx{row[:2]}": row[2:] for group, rows in groups.items() for row in rows.split()}
        for creator, groups in ROWS.items()
    }
