"""What stands above every backend: the door and the agent."""
