"""Jobs as a person reads them, on the dashboard and on the command line."""

from contract.jobs import AuditTable, JobReport, Profile, Work


def work_words(work: Work) -> str:
    """`profile fbnet-224, standard effort`."""
    if isinstance(work, Profile):
        anew = ", every operator anew" if work.again else ""
        return f"profile {work.space}, {work.effort} effort{anew}"
    if isinstance(work, AuditTable):
        return (
            f"audit {work.space} with {work.networks} networks of seed {work.seed}, "
            f"{work.effort} effort"
        )
    return f"measure a network of {work.space}"


def state_words(report: JobReport) -> str:
    """`being worked on, attempt 2`."""
    attempts = "1 attempt" if report.attempts == 1 else f"{report.attempts} attempts"
    match report.state:
        case "waiting":
            return f"waiting, after {attempts}" if report.attempts else "waiting"
        case "leased":
            return f"being worked on, attempt {report.attempts}"
        case "done":
            return "done"
        case "dead":
            return f"dead: given up after {attempts}"
        case "cancelled":
            return "cancelled"
