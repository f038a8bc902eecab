"""Studies of priors: from the study file to trainings, records, statistics and a report."""
