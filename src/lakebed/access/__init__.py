"""Access control: principals, actions, and the decision whether an action is allowed."""
