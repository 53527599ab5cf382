"""Programs that are killed, ended or interrupted at random moments, again and again."""
