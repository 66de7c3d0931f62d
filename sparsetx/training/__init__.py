"""From a configuration to a trained run: schedules, the step, the loop, evaluation."""
