"""When is each line of a text shown or said in a video?"""
