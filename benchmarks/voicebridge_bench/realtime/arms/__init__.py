"""The clients under test. Each does what a careful user of it would write after its documentation."""
