"""Fair choosing: settings of the stages behind recorded scores, chosen where they are not then reported."""
