"""Mirrors: verified copies of logs in read databases, as a daemon, as one run, or as an AWS Lambda function."""
