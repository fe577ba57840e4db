"""`granianctl doctor`: what is wrong with an instance, and how to mend it. See README.md."""
